/** Waits that double from `firstMs` to `mostMs`, each shortened or lengthened by up to half, so that a fleet does not return in step. */
export class Backoff {
  #failures = 0;
  readonly #firstMs: number;
  readonly #mostMs: number;
  readonly #random: () => number;

  constructor(firstMs: number, mostMs: number, random: () => number = Math.random) {
    this.#firstMs = firstMs;
    this.#mostMs = mostMs;
    this.#random = random;
  }

  next(): number {
    const wait = Math.min(this.#mostMs, this.#firstMs * 2 ** Math.min(this.#failures++, 16));
    return wait * (0.5 + this.#random());
  }

  reset(): void {
    this.#failures = 0;
  }
}
