/** "maintenance rs-1" is about the node rs-1: the word says what to do, the rest says with what. Pure. */
export function readVerb(query: string): { verb: "maintenance" | null; rest: string } {
  const text = query.trim();
  const found = /^(maintenance(?: of)?|drain|维护|排空)\s*(.*)$/iu.exec(text);
  return found ? { verb: "maintenance", rest: found[2] ?? "" } : { verb: null, rest: text };
}

/** Whether what somebody typed may mean this action: each word begins a word of its name or of its other names. */
export function means(query: string, ...names: readonly string[]): boolean {
  const words = names
    .join(" ")
    .toLowerCase()
    .split(/[\s/·]+/);
  const whole = names.join(" ").toLowerCase();
  return query
    .toLowerCase()
    .trim()
    .split(/\s+/)
    .every((part) => words.some((word) => word.startsWith(part)) || (/[^\u0020-\u007f]/.test(part) && whole.includes(part)));
}
