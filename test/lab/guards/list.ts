import { guards } from "./guards.ts";

const width = Math.max(...guards.map(({ name }) => name.length));
for (const { name, prevents } of guards) console.log(`${name.padEnd(width)}  prevents: ${prevents}`);
