import { EventsPage } from "../../../features/records/events-page.tsx";

export default function Page() {
  return <EventsPage />;
}
