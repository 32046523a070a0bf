export * from "./desired.ts";
export * from "./diff.ts";
export * from "./kernel.ts";
export * from "./ledger.ts";
export * from "./meets.ts";
export * from "./outcomes.ts";
export * from "./pass.ts";
export * from "./rank.ts";
