"use client";
import { useFormatter, useNow } from "use-intl";

/** When something was, by the reader's clock: "3 minutes ago", with date, time and zone on hover. */
export function When({ at }: { at: string }) {
  const format = useFormatter();
  const now = useNow({ updateInterval: 5000 });
  const date = new Date(at);
  // A clock that runs a little behind the controller's must not read "in 2 seconds".
  const shown = Math.abs(date.getTime() - now.getTime()) < 5000 ? now : date;
  return (
    <time dateTime={at} title={format.dateTime(date, { dateStyle: "long", timeStyle: "long" })} className="whitespace-nowrap">
      {format.relativeTime(shown, { now })}
    </time>
  );
}

/** Date and time to the second: for records, where the exact moment matters. */
export function Moment({ at }: { at: string }) {
  const format = useFormatter();
  const date = new Date(at);
  return (
    <time
      dateTime={at}
      title={format.dateTime(date, { dateStyle: "long", timeStyle: "long" })}
      className="whitespace-nowrap tabular-nums"
    >
      {format.dateTime(date, { dateStyle: "medium", timeStyle: "medium" })}
    </time>
  );
}
