import { cva, type VariantProps } from "class-variance-authority";
import { LoaderCircle } from "lucide-react";
import { Slot } from "radix-ui";
import type { ButtonHTMLAttributes } from "react";
import { cn } from "./cn.ts";

/** Classes of a button, for links that look like one. */
export const buttonStyle = cva(
  "inline-flex shrink-0 select-none items-center justify-center gap-1.5 whitespace-nowrap rounded-md font-medium transition-colors disabled:opacity-55 disabled:pointer-events-none aria-busy:pointer-events-none [&_svg]:size-4 [&_svg]:shrink-0",
  {
    variants: {
      variant: {
        primary: "bg-accent text-on-accent hover:bg-accent-strong",
        secondary: "border border-line bg-surface text-ink shadow-low hover:bg-sunken",
        ghost: "text-soft hover:bg-sunken hover:text-ink",
        danger: "bg-bad text-surface hover:opacity-90",
        dangerQuiet: "border border-line bg-surface text-bad shadow-low hover:bg-bad-soft",
      },
      size: { md: "h-9 px-3.5", sm: "h-8 px-2.5 text-[0.8125rem]", icon: "size-9", iconSm: "size-8" },
    },
    defaultVariants: { variant: "secondary", size: "md" },
  },
);

export interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement>, VariantProps<typeof buttonStyle> {
  /** Keeps the label and adds a spinner; a second press does nothing. */
  loading?: boolean;
  /** Renders its only child (a link, say) in a button's clothes. */
  asChild?: boolean;
}

export function Button({ className, variant, size, loading = false, asChild = false, children, ...rest }: ButtonProps) {
  const style = cn(buttonStyle({ variant, size }), className);
  if (asChild)
    return (
      <Slot.Root className={style} {...rest}>
        {children}
      </Slot.Root>
    );
  return (
    <button
      type="button"
      {...rest}
      className={style}
      aria-busy={loading || undefined}
      onClick={loading ? (event) => event.preventDefault() : rest.onClick}
    >
      {loading ? <LoaderCircle aria-hidden className="appear-late animate-spin" /> : null}
      {children}
    </button>
  );
}
