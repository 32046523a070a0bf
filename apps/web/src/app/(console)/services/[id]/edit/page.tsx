import { EditServicePage } from "../../../../../features/services/edit-service-page.tsx";

export default async function Page({ params }: { params: Promise<{ id: string }> }) {
  return <EditServicePage id={(await params).id} />;
}
