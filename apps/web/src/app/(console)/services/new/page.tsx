import { NewServicePage } from "../../../../features/services/new-service-page.tsx";

export default function Page() {
  return <NewServicePage />;
}
