/** What the template `infra/install/install.sh` leaves open. */
export interface InstallScriptValues {
  VERSION: string;
  CONSOLE_URL: string;
  AGENT_URL: string;
  BUNDLE_SHA256: string;
  NODE_SHA256_X64: string;
  NODE_SHA256_ARM64: string;
  CA_PEM: string;
  /** The text of the systemd unit. */
  UNIT: string;
}

/** Fills the template. Values stand inside single quotes or a quoted here-document, and may not end either. */
export function fillInstallScript(template: string, values: InstallScriptValues): string {
  return template.replace(/\{\{([A-Z0-9_]+)\}\}/g, (_whole, name: string) => {
    const value = values[name as keyof InstallScriptValues];
    if (value === undefined) throw new Error(`the install script wants ${name}`);
    if (name === "UNIT" ? /^TRIGON_UNIT$/m.test(value) : value.includes("'")) throw new Error(`${name} cannot be quoted`);
    return value.trimEnd();
  });
}
