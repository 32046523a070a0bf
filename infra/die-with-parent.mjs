// Preloaded into child programs (`node --import`): when the parent is gone, by whatever signal, so is the child. Children of the child
// inherit the preload and may have a channel of their own, which is none of our business.
if (process.channel && new URL(import.meta.url).searchParams.get("parent") === String(process.ppid)) {
  process.channel.unref();
  process.once("disconnect", () => {
    process.kill(process.pid, "SIGTERM");
    setTimeout(() => process.exit(1), 8_000).unref();
  });
}
