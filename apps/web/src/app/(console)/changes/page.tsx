import { ChangesPage } from "../../../features/records/changes-page.tsx";

export default function Page() {
  return <ChangesPage />;
}
