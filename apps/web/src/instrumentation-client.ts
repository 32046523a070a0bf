import { config } from "zod/v4/core";

// The content security policy forbids eval, which zod would try before it does without.
config({ jitless: true });
