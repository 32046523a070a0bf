import { randomBytes } from "node:crypto";
import { type IdKind, idFrom } from "@trigon/model";

/** A fresh random id; 16 letters of 5 bits. */
export const newId = (kind: IdKind): string => idFrom(kind, randomBytes(16));
