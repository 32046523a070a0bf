import { AuditPage } from "../../../features/records/audit-page.tsx";

export default function Page() {
  return <AuditPage />;
}
