// Preloaded into child programs (`node --import`): when the parent is gone, by whatever signal, so is the child.
if (process.channel) {
  process.channel.unref();
  process.once("disconnect", () => {
    process.kill(process.pid, "SIGTERM");
    setTimeout(() => process.exit(1), 8_000).unref();
  });
}
