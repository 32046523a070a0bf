/** The closed set of what can go wrong above the kernel. The API maps each once to HTTP, the CLI once to an exit code, the console to a sentence. */
export const errorCodes = {
  "input.invalid": { status: 422, retry: false },
  "body.invalid": { status: 400, retry: false },
  "auth.required": { status: 401, retry: false },
  "auth.forbidden": { status: 403, retry: false },
  "auth.rateLimited": { status: 429, retry: true },
  "token.invalid": { status: 401, retry: false },
  "token.expired": { status: 401, retry: false },
  "token.used": { status: 401, retry: false },
  "token.revoked": { status: 401, retry: false },
  "node.revoked": { status: 403, retry: false },
  "node.quarantined": { status: 403, retry: false },
  "certificate.superseded": { status: 403, retry: false },
  "csr.invalid": { status: 400, retry: false },
  "resource.notFound": { status: 404, retry: false },
  "resource.exists": { status: 409, retry: false },
  "resource.inUse": { status: 409, retry: false },
  "resource.tooMany": { status: 409, retry: false },
  "node.notConnected": { status: 409, retry: true },
  "node.noAnswer": { status: 504, retry: true },
  "node.busy": { status: 409, retry: true },
  "service.notAdopted": { status: 409, retry: false },
  "service.notReleasable": { status: 409, retry: false },
  "group.notPaired": { status: 409, retry: false },
  "group.notReady": { status: 409, retry: true },
  "group.moving": { status: 409, retry: true },
  "change.irreversible": { status: 409, retry: false },
  "guard.absent": { status: 409, retry: false },
  "guard.over": { status: 409, retry: false },
  "revision.required": { status: 428, retry: false },
  "revision.stale": { status: 412, retry: true },
  "fleet.observeOnly": { status: 409, retry: false },
  "generation.ahead": { status: 409, retry: false },
  "protocol.unsupported": { status: 426, retry: false },
  "request.tooLarge": { status: 413, retry: false },
  "media.unsupported": { status: 415, retry: false },
  "service.unavailable": { status: 503, retry: true },
  bug: { status: 500, retry: false },
} as const satisfies Record<string, { status: number; retry: boolean }>;
export type ErrorCode = keyof typeof errorCodes;

/** One wrong field: a JSON pointer (RFC 6901) into the input, a stable code, and an English sentence. `meta` fills the console's own sentence. */
export interface FieldError {
  pointer: string;
  code: string;
  detail: string;
  meta?: Record<string, string | number>;
}

/** What services throw. Routers turn it into problem+json (RFC 9457) or a TRPCError. */
export class DomainError extends Error {
  readonly code: ErrorCode;
  readonly fields: readonly FieldError[];

  constructor(code: ErrorCode, detail: string, fields: readonly FieldError[] = [], options?: ErrorOptions) {
    super(detail, options);
    this.name = "DomainError";
    this.code = code;
    this.fields = fields;
  }

  get retry(): boolean {
    return errorCodes[this.code].retry;
  }

  get status(): number {
    return errorCodes[this.code].status;
  }
}
