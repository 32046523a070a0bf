import { EnrollPage } from "../../../../features/nodes/enroll-page.tsx";

export default function Page() {
  return <EnrollPage />;
}
