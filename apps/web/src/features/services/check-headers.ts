/** A header of an HTTP check. */
export interface CheckHeader {
  name: string;
  value: string;
}

/** Headers as they are typed, one on each line; a line without a colon is a name, about which its error then speaks. */
export function headersIn(text: string): CheckHeader[] {
  return text.split("\n").flatMap((line): CheckHeader[] => {
    if (line.trim() === "") return [];
    const [name = "", ...rest] = line.split(":");
    return [{ name: name.trim(), value: rest.join(":").trim() }];
  });
}

/** The inverse of `headersIn`. */
export const textOfHeaders = (headers: readonly CheckHeader[]): string =>
  headers.map(({ name, value }) => `${name}: ${value}`).join("\n");
