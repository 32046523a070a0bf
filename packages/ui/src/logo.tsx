/** The mark: the packet's triangle in direct routing. In through the director at the top, and straight back along the base. */
export function Logo({ className }: { className?: string }) {
  return (
    <svg viewBox="0 0 32 32" className={className} aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="var(--t-accent)" />
      <path
        d="M9 22.5 16 9.5l7 13"
        fill="none"
        stroke="var(--t-on-accent)"
        strokeWidth="2.4"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
      <path d="M12.6 22.5h6.8" stroke="var(--t-on-accent)" strokeWidth="2.4" strokeLinecap="round" strokeDasharray="0.1 3.4" />
      <circle cx="9" cy="22.5" r="2.4" fill="var(--t-on-accent)" />
      <circle cx="23" cy="22.5" r="2.4" fill="var(--t-on-accent)" />
      <circle cx="16" cy="9.5" r="2.4" fill="var(--t-on-accent)" />
    </svg>
  );
}
