import { ServicePage } from "../../../../features/services/service-page.tsx";

export default async function Page({ params }: { params: Promise<{ id: string }> }) {
  return <ServicePage id={(await params).id} />;
}
