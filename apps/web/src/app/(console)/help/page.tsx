import { HelpPage } from "../../../features/help/help-page.tsx";
import { helpOf } from "../../../i18n/help.ts";
import { readLocale } from "../../../i18n/read-locale.ts";

export default async function Page() {
  return <HelpPage help={helpOf(await readLocale())} />;
}
