/** Time and chance, injected: `now` in milliseconds that never go back, `wall` in milliseconds since 1970. */
export interface Clock {
  now(): number;
  wall(): number;
  /** Calls back once after so many milliseconds; answers how to prevent that. */
  after(ms: number, callback: () => void): () => void;
}

interface Entry<T> {
  at: number;
  item: T;
}

/**
 * Things to do at their times, on one timer. What falls due between two beats, `slotMs` apart, is done together at the second.
 */
export class Agenda<T> {
  readonly #clock: Clock;
  readonly #onDue: (item: T, at: number, now: number) => void;
  readonly #slotMs: number;
  /** A binary heap, the earliest first. */
  readonly #heap: Entry<T>[] = [];
  #armedFor = Number.POSITIVE_INFINITY;
  #cancel: () => void = () => undefined;

  /** `onDue` is told when it was due, and the time as it was before the first of this beat. */
  constructor(clock: Clock, onDue: (item: T, at: number, now: number) => void, slotMs = 50) {
    this.#clock = clock;
    this.#onDue = onDue;
    this.#slotMs = slotMs;
  }

  add(at: number, item: T): void {
    const heap = this.#heap;
    let index = heap.push({ at, item }) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (heap[parent]!.at <= at) break;
      [heap[parent], heap[index]] = [heap[index]!, heap[parent]!];
      index = parent;
    }
    if (at <= this.#armedFor - this.#slotMs) this.#arm();
  }

  stop(): void {
    this.#cancel();
    this.#heap.length = 0;
  }

  #arm(): void {
    this.#cancel();
    const first = this.#heap[0];
    this.#armedFor = first ? Math.ceil(first.at / this.#slotMs) * this.#slotMs : Number.POSITIVE_INFINITY;
    if (!first) return;
    this.#cancel = this.#clock.after(Math.max(1, Math.ceil(this.#armedFor - this.#clock.now())), () => this.#run());
  }

  #run(): void {
    const due = this.#armedFor;
    // Nothing arms anew while the slot is being worked through.
    this.#armedFor = Number.NEGATIVE_INFINITY;
    const now = this.#clock.now();
    const until = Math.max(now, due); // a timer may fire a moment early
    while (this.#heap[0] && this.#heap[0].at <= until) {
      const { item, at } = this.#take();
      this.#onDue(item, at, now);
    }
    this.#arm();
  }

  #take(): Entry<T> {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      if (left >= heap.length) break;
      const child = left + 1 < heap.length && heap[left + 1]!.at < heap[left]!.at ? left + 1 : left;
      if (heap[child]!.at >= last.at) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}
