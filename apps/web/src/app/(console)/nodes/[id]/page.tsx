import { NodePage } from "../../../../features/nodes/node-page.tsx";

export default async function Page({ params }: { params: Promise<{ id: string }> }) {
  return <NodePage id={(await params).id} />;
}
