/** Waits until `check` holds; throws after `withinMs`, saying what was waited for and what `state` answers. */
export async function eventually(check: () => boolean, withinMs = 5_000, state: () => string = () => ""): Promise<void> {
  for (const deadline = Date.now() + withinMs; !check(); await new Promise((resolve) => setTimeout(resolve, 2)))
    if (Date.now() > deadline) throw new Error(`Not within ${withinMs} ms: ${check} ${state()}`);
}
