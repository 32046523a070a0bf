"use client";
import { HealthCheck, type HealthCheckKind, OnFailure } from "@trigon/model";
import { Card, Disclosure, Field, Input, Select, Switch, Textarea } from "@trigon/ui";
import { useState } from "react";
import { Controller, type FieldPath, useFormContext, useWatch } from "react-hook-form";
import { useTranslations } from "use-intl";
import { numberTyped } from "../../lib/field-issues.ts";
import { type CheckHeader, headersIn, textOfHeaders } from "./check-headers.ts";
import type { ErrorOf, ServiceValues } from "./spec.ts";

type Path = FieldPath<ServiceValues>;
type Choice = HealthCheckKind | "default";
const kinds: readonly HealthCheckKind[] = ["tcp", "http", "https", "tls", "udp", "icmp", "none"];

/** A check of this kind before anybody typed; null: the protocol's default. */
function freshCheck(choice: Choice): HealthCheck | null {
  if (choice === "default") return null;
  if (choice === "udp") return { ...HealthCheck.parse({ kind: "udp", payload: "x" }), payload: "" } as HealthCheck;
  return HealthCheck.parse({ kind: choice });
}

const textOrNull = (text: unknown) => (typeof text === "string" && text.trim() === "" ? null : text);

/** How real servers are checked, and what becomes of those that fail. */
export function HealthSection({ errorOf }: { errorOf: ErrorOf }) {
  const t = useTranslations("form.health");
  const { control, formState, register, setValue } = useFormContext<ServiceValues>();
  const [check, protocol, sorryServer] = useWatch({ control, name: ["health.check", "protocol", "health.sorryServer"] });
  const kind = check?.kind ?? "default";
  // Opened for an error it stays open: nothing is folded away under somebody who is mending it.
  const [opened, setOpened] = useState(false);
  if ("health" in formState.errors && !opened) setOpened(true);
  const usual = protocol === "tcp" ? "tcp" : "icmp";
  return (
    <Card>
      <Disclosure
        summary={t("title")}
        note={kind === "default" ? t("usual", { kind: t(`kind.${usual}`) }) : t(`kind.${kind}`)}
        open={opened || undefined}
      >
        <div className="grid gap-4 border-t p-4 sm:grid-cols-2">
          <Field label={t("check")} hint={t(kind === "icmp" ? "icmpHint" : "ripHint")} error={errorOf("health.check", undefined)}>
            <Select
              value={kind}
              onChange={(event) =>
                setValue("health.check", freshCheck(event.target.value as Choice), { shouldDirty: true, shouldValidate: true })
              }
            >
              <option value="default">{t("usual", { kind: t(`kind.${usual}`) })}</option>
              {kinds.map((name) => (
                <option key={name} value={name}>
                  {t(`kind.${name}`)}
                </option>
              ))}
            </Select>
          </Field>
          <Field label={t("onFailure")} hint={t("onFailureHint")}>
            <Select {...register("health.onFailure")}>
              {OnFailure.options.map((what) => (
                <option key={what} value={what}>
                  {t(`on.${what}`)}
                </option>
              ))}
            </Select>
          </Field>
          {kind === "tcp" || kind === "http" ? <TargetField errorOf={errorOf} /> : null}
          {kind === "http" || kind === "https" ? <HttpFields errorOf={errorOf} /> : null}
          {kind === "tls" || kind === "https" ? <TlsFields errorOf={errorOf} /> : null}
          {kind === "udp" ? <UdpFields errorOf={errorOf} /> : null}
          {check && check.kind !== "none" ? <TimingFields errorOf={errorOf} hasPort={check.kind !== "icmp"} /> : null}
          <TextField path="health.maxOutAtOnce" label={t("maxOutAtOnce")} hint={t("maxOutAtOnceHint")} errorOf={errorOf} number />
          <div className="grid grid-cols-2 gap-4">
            <TextField path="health.quorum.down" label={t("quorumDown")} hint={t("quorumHint")} errorOf={errorOf} number />
            <TextField path="health.quorum.up" label={t("quorumUp")} errorOf={errorOf} number />
          </div>
          <Toggle path="health.failOpen" label={t("failOpen")} hint={t("failOpenHint")} />
          <div className="space-y-3">
            <div className="flex items-start gap-3">
              <Switch
                aria-label={t("sorryServer")}
                checked={sorryServer !== null}
                onCheckedChange={(on) =>
                  setValue("health.sorryServer", on ? { rip: "", port: null, forwarding: null } : null, { shouldDirty: true })
                }
              />
              <div className="min-w-0">
                <p className="font-medium text-[0.8125rem] leading-6">{t("sorryServer")}</p>
                <p className="text-soft text-xs">{t("sorryServerHint")}</p>
              </div>
            </div>
            {sorryServer !== null ? (
              <div className="grid grid-cols-[2fr_1fr] gap-4 border-line border-l-2 pl-4">
                <TextField path="health.sorryServer.rip" label="RIP" errorOf={errorOf} mono />
                <TextField path="health.sorryServer.port" label={t("port")} errorOf={errorOf} number />
              </div>
            ) : null}
          </div>
        </div>
      </Disclosure>
    </Card>
  );
}

function TargetField({ errorOf }: { errorOf: ErrorOf }) {
  const t = useTranslations("form.health");
  const { register } = useFormContext<ServiceValues>();
  return (
    <Field className="sm:col-span-2" label={t("target")} hint={t("targetHint")} error={errorOf("health.check.target", undefined)}>
      <Select {...register("health.check.target")}>
        <option value="rip">{t("targetRip")}</option>
        <option value="vip">{t("targetVip")}</option>
      </Select>
    </Field>
  );
}

function TimingFields({ errorOf, hasPort }: { errorOf: ErrorOf; hasPort: boolean }) {
  const t = useTranslations("form.health");
  return (
    <>
      <div className="grid grid-cols-3 gap-4">
        <TextField path="health.check.intervalMs" label={t("intervalMs")} errorOf={errorOf} number />
        <TextField path="health.check.fastIntervalMs" label={t("fastIntervalMs")} hint={t("fastHint")} errorOf={errorOf} number />
        <TextField path="health.check.timeoutMs" label={t("timeoutMs")} errorOf={errorOf} number />
      </div>
      <div className="grid grid-cols-4 gap-4">
        <TextField path="health.check.fall" label={t("fall")} hint={t("fallHint")} errorOf={errorOf} number />
        <TextField path="health.check.rise" label={t("rise")} hint={t("riseHint")} errorOf={errorOf} number />
        <TextField path="health.check.jitter" label={t("jitter")} hint={t("jitterHint")} errorOf={errorOf} number />
        {hasPort ? <TextField path="health.check.port" label={t("port")} hint={t("portHint")} errorOf={errorOf} number /> : null}
      </div>
    </>
  );
}

function HttpFields({ errorOf }: { errorOf: ErrorOf }) {
  const t = useTranslations("form.health");
  const { register } = useFormContext<ServiceValues>();
  return (
    <>
      <div className="grid grid-cols-[auto_1fr] gap-4">
        <Field label={t("method")}>
          <Select {...register("health.check.method")}>
            <option value="GET">GET</option>
            <option value="HEAD">HEAD</option>
            <option value="OPTIONS">OPTIONS</option>
          </Select>
        </Field>
        <TextField path="health.check.path" label={t("path")} errorOf={errorOf} mono />
      </div>
      <TextField path="health.check.host" label={t("host")} hint={t("hostHint")} errorOf={errorOf} mono nullable />
      <TextField path="health.check.statuses" label={t("statuses")} hint={t("statusesHint")} errorOf={errorOf} mono />
      <HeadersField errorOf={errorOf} />
      <TextField path="health.check.body" label={t("body")} hint={t("bodyHint")} errorOf={errorOf} nullable />
    </>
  );
}

function HeadersField({ errorOf }: { errorOf: ErrorOf }) {
  const t = useTranslations("form.health");
  const { formState, getFieldState, getValues, setValue } = useFormContext<ServiceValues>();
  // What is typed is kept as it is: a line that is half written has no header yet.
  const [text, setText] = useState(() => textOfHeaders((getValues("health.check.headers") as CheckHeader[] | undefined) ?? []));
  const issues = getFieldState("health.check.headers", formState).error as unknown as
    | { message?: string; name?: { message?: string }; value?: { message?: string } }[]
    | { message?: string }
    | undefined;
  const wrong = Array.isArray(issues) ? issues.find((issue) => issue) : undefined;
  const message = wrong?.name?.message ?? wrong?.value?.message ?? (Array.isArray(issues) ? undefined : issues?.message);
  return (
    <Field label={t("headers")} hint={t("headersHint")} error={errorOf("health.check.headers", message)}>
      <Textarea
        value={text}
        onChange={({ target }) => {
          setText(target.value);
          setValue("health.check.headers", headersIn(target.value), { shouldDirty: true, shouldValidate: true });
        }}
        rows={2}
        spellCheck={false}
        className="font-mono"
        placeholder="X-Probe: trigon"
      />
    </Field>
  );
}

function TlsFields({ errorOf }: { errorOf: ErrorOf }) {
  const t = useTranslations("form.health");
  const { control, formState, getFieldState, register } = useFormContext<ServiceValues>();
  const isVerified = useWatch({ control, name: "health.check.verify" });
  return (
    <>
      <TextField path="health.check.sni" label={t("sni")} hint={t("sniHint")} errorOf={errorOf} mono nullable />
      <Toggle path="health.check.verify" label={t("verify")} hint={t("verifyHint")} />
      {isVerified ? (
        <Field
          className="sm:col-span-2"
          label={t("ca")}
          hint={t("caHint")}
          error={errorOf("health.check.ca", getFieldState("health.check.ca", formState).error?.message)}
        >
          <Textarea
            {...register("health.check.ca", { setValueAs: textOrNull })}
            rows={4}
            spellCheck={false}
            className="font-mono"
            placeholder="-----BEGIN CERTIFICATE-----"
          />
        </Field>
      ) : null}
    </>
  );
}

function UdpFields({ errorOf }: { errorOf: ErrorOf }) {
  const t = useTranslations("form.health");
  const { register } = useFormContext<ServiceValues>();
  return (
    <>
      <div className="grid grid-cols-[auto_1fr] gap-4">
        <Field label={t("encoding")}>
          <Select {...register("health.check.encoding")}>
            <option value="text">{t("text")}</option>
            <option value="hex">{t("hex")}</option>
          </Select>
        </Field>
        <TextField path="health.check.payload" label={t("payload")} errorOf={errorOf} mono />
      </div>
      <TextField path="health.check.reply" label={t("reply")} hint={t("replyHint")} errorOf={errorOf} mono nullable />
    </>
  );
}

/** A box with its own error, or what the server says about it. */
function TextField(props: {
  path: Path;
  label: string;
  hint?: string;
  errorOf: ErrorOf;
  number?: boolean;
  nullable?: boolean;
  mono?: boolean;
}) {
  const { register, getFieldState, formState } = useFormContext<ServiceValues>();
  const { path, label, hint, number, nullable, mono } = props;
  const setValueAs = number ? numberTyped : nullable ? textOrNull : undefined;
  return (
    <Field label={label} hint={hint} error={props.errorOf(path, getFieldState(path, formState).error?.message)}>
      <Input
        {...register(path, setValueAs ? { setValueAs } : {})}
        autoComplete="off"
        spellCheck={false}
        {...(number ? { inputMode: "numeric" as const } : {})}
        {...(mono ? { className: "font-mono" } : {})}
      />
    </Field>
  );
}

function Toggle({ path, label, hint }: { path: "health.failOpen" | "health.check.verify"; label: string; hint: string }) {
  const { control } = useFormContext<ServiceValues>();
  return (
    <Controller
      control={control}
      name={path}
      render={({ field }) => (
        <div className="flex items-start gap-3">
          <Switch aria-label={label} checked={field.value === true} onCheckedChange={field.onChange} />
          <div className="min-w-0">
            <p className="font-medium text-[0.8125rem] leading-6">{label}</p>
            <p className="text-soft text-xs">{hint}</p>
          </div>
        </div>
      )}
    />
  );
}
