/**
 * Takes `--NAME N` of each of these names out of the arguments and into the environment, as TRIGON_NAME, for the tests that read it.
 * Answers what is left; ends the process with exit code 2 where N is no whole number.
 */
export function numberOptions(names, given) {
  const args = [...given];
  for (const name of names) {
    const at = args.indexOf(`--${name}`);
    if (at < 0) continue;
    const [, value] = args.splice(at, 2);
    if (!/^\d+$/.test(value ?? "")) {
      console.error(`--${name} needs a number`);
      process.exit(2);
    }
    process.env[`TRIGON_${name.toUpperCase()}`] = value;
  }
  return args;
}
