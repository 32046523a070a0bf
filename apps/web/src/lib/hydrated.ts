import { useSyncExternalStore } from "react";

const never = () => () => undefined;

/** Whether scripts have taken over the page that the server sent: a form that is sent before would leave by the browser's own means. */
export function useHydrated(): boolean {
  return useSyncExternalStore(
    never,
    () => true,
    () => false,
  );
}
