/** `10.0.0.1:80` or `[2001:db8::1]:80`. */
export function endpoint(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
