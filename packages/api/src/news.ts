/** What replicas tell each other besides the fleet's sequence. */
export type News =
  /** An enrollment token's state changed. */
  | { kind: "enrollmentToken"; id: string }
  /** A node's row is as before, but something that is kept beside it changed. */
  | { kind: "node"; id: string }
  /** A director shall look at a service at once. */
  | { kind: "probe"; nodeId: string; serviceId: string }
  /** Somebody looks at figures: all nodes send theirs more often for so many seconds. */
  | { kind: "watch"; seconds: number }
  /** Whoever a node is connected to asks it. Small: Postgres carries 8,000 bytes. */
  | { kind: "ask"; nodeId: string; id: string; question: unknown }
  /** A node's answer lies in the database. */
  | { kind: "answer"; id: string };

export const newsText = (news: News): string => JSON.stringify(news);

/** Undefined for what a replica of another version says. */
export function readNews(text: string): News | undefined {
  try {
    const news = JSON.parse(text) as News;
    return typeof news === "object" && news !== null ? news : undefined;
  } catch {
    return undefined;
  }
}
