"use client";
import { useMutation, useQuery } from "@tanstack/react-query";
import { canSlowStart, type GuardKind, Protocol, Scheduler, VirtualServiceSpec } from "@trigon/model";
import { Button, buttonStyle, Callout, Card, CardHeader, Disclosure, Field, Input, Select, Switch, Textarea } from "@trigon/ui";
import Link from "next/link";
import { type ReactNode, useEffect, useMemo, useState } from "react";
import { Controller, FormProvider, useForm, useFormContext, useWatch } from "react-hook-form";
import { useTranslations } from "use-intl";
import { ProblemCallout } from "../../components/problem-view.tsx";
import { numberTyped } from "../../lib/field-issues.ts";
import { placeErrors, useFieldSentence, useSchemaResolver } from "../../lib/form.ts";
import { problemOf } from "../../lib/problem.ts";
import { useTRPC } from "../../lib/trpc.ts";
import { GuardField } from "../records/guard.tsx";
import { type GuardChoice, guardOf } from "../records/guard-choice.ts";
import { useFieldHelp } from "./field-help.tsx";
import { ForwardingChoice } from "./forwarding-choice.tsx";
import { HealthSection } from "./health-section.tsx";
import { Lint, useValidation } from "./lint.tsx";
import { PreviewButton, type ServiceWrite } from "./preview.tsx";
import { RealServersEditor } from "./real-servers-editor.tsx";
import { type ErrorOf, type ServiceValues, withoutBlankRows } from "./spec.ts";

/** The one form for creating and editing a virtual service: five fields in sight, the rest folded. */
export function ServiceForm(props: {
  /** The service being edited; left out for a new one. */
  id?: string;
  values: ServiceValues;
  submitLabel: string;
  cancelHref: string;
  isSaving: boolean;
  error: unknown;
  notice?: ReactNode;
  onSubmit: (spec: VirtualServiceSpec, guarded: { guard?: GuardKind }) => void;
  /** The write that saving would be. */
  writeOf: (spec: VirtualServiceSpec) => ServiceWrite;
}) {
  const t = useTranslations();
  const sentence = useFieldSentence();
  const help = useFieldHelp();
  const form = useForm<ServiceValues, unknown, VirtualServiceSpec>({
    defaultValues: props.values,
    resolver: useSchemaResolver(VirtualServiceSpec, withoutBlankRows),
    mode: "onTouched",
  });
  const { register, formState } = form;
  const [guard, setGuard] = useState<GuardChoice>("auto");
  const save = form.handleSubmit((spec) => {
    const before = props.id === undefined ? undefined : props.values;
    props.onSubmit(spec, { guard: guardOf(guard, before, spec) });
  });
  const guardField = <GuardField value={guard} onChange={setGuard} />;
  const server = useServerCheck(props.id, form.control);
  const trpc = useTRPC();
  const preview = useMutation(trpc.virtualService.preview.mutationOptions());

  // The server's answer to a save: each error to its field, what is left over to the top.
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each answer
  useEffect(() => {
    if (!props.error) return;
    const { toForm } = withoutBlankRows(form.getValues());
    const fields = problemOf(props.error).fields.map((field) => ({ ...field, pointer: toForm(field.pointer) }));
    placeErrors(form, fields, sentence);
  }, [props.error]);

  const errorOf = useFieldError(server.errors);
  const leftOver = server.errors.filter((field) => field.pointer === "");
  return (
    <FormProvider {...form}>
      <form noValidate className="max-w-5xl space-y-4 pb-24" onSubmit={(event) => void save(event)}>
        {props.notice}
        {props.error ? <ProblemCallout error={props.error} /> : null}
        <Card>
          <CardHeader title={t("form.basics")} />
          <div className="grid gap-4 p-4 sm:grid-cols-2 lg:grid-cols-[minmax(0,2fr)_minmax(0,2fr)_minmax(0,1fr)_minmax(0,1fr)]">
            <Field
              label={t("form.name")}
              help={help("name", t("form.name"))}
              error={errorOf("name", formState.errors.name?.message)}
            >
              <Input {...register("name")} autoComplete="off" placeholder="web-shop" />
            </Field>
            <Field
              label={t("form.vip")}
              help={help("vip", t("form.vip"))}
              error={errorOf("vip", formState.errors.vip?.message)}
              hint={t("form.vipHint")}
            >
              <Input {...register("vip")} autoComplete="off" spellCheck={false} placeholder="192.0.2.10" className="font-mono" />
            </Field>
            <Field
              label={t("form.port")}
              help={help("port", t("form.port"))}
              error={errorOf("port", formState.errors.port?.message)}
            >
              <Input {...register("port", { setValueAs: numberTyped })} inputMode="numeric" autoComplete="off" placeholder="80" />
            </Field>
            <Field
              label={t("form.protocol")}
              help={help("protocol", t("form.protocol"))}
              error={errorOf("protocol", formState.errors.protocol?.message)}
            >
              <Select {...register("protocol")}>
                {Protocol.options.map((protocol) => (
                  <option key={protocol} value={protocol}>
                    {protocol.toUpperCase()}
                  </option>
                ))}
              </Select>
            </Field>
          </div>
        </Card>
        <ForwardingChoice error={errorOf("forwarding", formState.errors.forwarding?.message)} />
        <RealServersEditor errorOf={errorOf} />
        <HealthSection errorOf={errorOf} />
        <Advanced errorOf={errorOf} guardField={guardField} />
        {leftOver.map((field) => (
          <Callout key={field.code} tone="bad">
            {sentence(field)}
          </Callout>
        ))}
        <Lint findings={server.lint} title={t("form.lint")} />
        <div className="fixed inset-x-0 bottom-0 z-20 border-t bg-surface/95 px-4 py-3 backdrop-blur sm:px-6 lg:left-52">
          <div className="mx-auto flex max-w-[90rem] items-center gap-2">
            <Button type="submit" variant="primary" loading={props.isSaving}>
              {props.submitLabel}
            </Button>
            <PreviewButton
              preview={preview}
              ask={(then) => void form.handleSubmit((spec) => then(props.writeOf(spec)))()}
              applyLabel={props.submitLabel}
              onApply={() => void save()}
            >
              {guardField}
            </PreviewButton>
            <Link href={props.cancelHref} className={buttonStyle()}>
              {t("common.cancel")}
            </Link>
            {formState.submitCount > 0 && Object.keys(formState.errors).length > 0 ? (
              <p role="alert" className="ml-2 min-w-0 text-bad text-xs">
                {t("form.fixFirst")}
              </p>
            ) : null}
          </div>
        </div>
      </form>
    </FormProvider>
  );
}

/** A field's own error, else what the server already says about it while one types. */
function useFieldError(serverErrors: readonly { pointer: string; code: string; detail: string }[]): ErrorOf {
  const sentence = useFieldSentence();
  return (path, own) => {
    if (own) return own;
    const pointer = `/${path.replaceAll(".", "/")}`;
    const found = serverErrors.find((field) => field.pointer === pointer);
    return found && sentence(found);
  };
}

const nothing = { errors: [], lint: [] };

/** Asks the server about the spec as it is being typed: conflicts with other services, and what is legal but unwise. */
function useServerCheck(
  id: string | undefined,
  control: ReturnType<typeof useForm<ServiceValues, unknown, VirtualServiceSpec>>["control"],
) {
  const values = useWatch({ control }) as ServiceValues;
  const { values: sent, toForm } = useMemo(() => withoutBlankRows(values), [values]);
  const parsed = useMemo(() => {
    const result = VirtualServiceSpec.safeParse(sent);
    return result.success ? JSON.stringify(result.data) : undefined;
  }, [sent]);
  const settled = useDebounced(parsed, 400);
  const spec = useMemo(() => (settled === undefined ? undefined : (JSON.parse(settled) as unknown)), [settled]);
  const check = useValidation(id, spec);
  if (parsed === undefined || !check.data) return nothing;
  // An answer about what was typed before still advises, but no longer accuses.
  const isOld = check.isPlaceholderData || parsed !== settled;
  return {
    lint: check.data.lint,
    errors: isOld ? [] : check.data.errors.map((field) => ({ ...field, pointer: toForm(field.pointer) })),
  };
}

function useDebounced<T>(value: T, delayMs: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), delayMs);
    return () => clearTimeout(timer);
  }, [value, delayMs]);
  return settled;
}

const hashingSchedulers: readonly string[] = ["sh", "mh"];

function Advanced({ errorOf, guardField }: { errorOf: ErrorOf; guardField: ReactNode }) {
  const t = useTranslations();
  const help = useFieldHelp();
  const trpc = useTRPC();
  const { register, control, formState, setValue } = useFormContext<ServiceValues>();
  const [forwarding, scheduler, protocol, persistence, snatSource, groupId] = useWatch({
    control,
    name: ["forwarding", "scheduler", "protocol", "persistence", "snatSource", "directorGroupId"],
  });
  const groups = useQuery(trpc.directorGroup.list.queryOptions({ limit: 100 }));
  const group = groups.data?.data.find(({ id }, _, all) => id === groupId || all.length === 1);
  // What is chosen stays on the list, also while the groups are being read.
  const chosen = snatSource === undefined || snatSource === "vip" || snatSource === "dip" ? [] : [snatSource];
  const floatingAddresses = [...new Set([...(group?.floatingAddresses ?? []), ...chosen])];
  const hasError = [
    "scheduler",
    "persistence",
    "encapsulation",
    "snatSource",
    "slowStartSeconds",
    "allow",
    "description",
    "directorGroupId",
  ].some((name) => name in formState.errors);
  return (
    <Card>
      <Disclosure summary={t("form.advanced")} note={t("form.advancedNote")} open={hasError || undefined}>
        <div className="grid gap-4 border-t p-4 sm:grid-cols-2">
          <Field
            label={t("form.scheduler")}
            help={help("scheduler", t("form.scheduler"))}
            hint={t(`scheduler.${scheduler}`)}
            error={errorOf("scheduler", formState.errors.scheduler?.message)}
          >
            <Select {...register("scheduler")}>
              {Scheduler.options.map((name) => (
                <option key={name} value={name}>
                  {name} — {t(`scheduler.${name}`)}
                </option>
              ))}
            </Select>
          </Field>
          {(groups.data?.data.length ?? 0) > 1 ? (
            <Field
              label={t("form.directorGroup")}
              help={help("directorGroup", t("form.directorGroup"))}
              error={errorOf("directorGroupId", formState.errors.directorGroupId?.message)}
            >
              <Select {...register("directorGroupId")}>
                {groups.data?.data.map((group) => (
                  <option key={group.id} value={group.id}>
                    {group.name}
                  </option>
                ))}
              </Select>
            </Field>
          ) : null}
          {forwarding === "tun" ? (
            <Field
              label={t("form.encapsulation")}
              help={help("encapsulation", t("form.encapsulation"))}
              hint={t("form.encapsulationHint")}
              error={errorOf("encapsulation", undefined)}
            >
              <Select {...register("encapsulation")}>
                <option value="ipip">IPIP</option>
                <option value="gre">GRE</option>
                <option value="gue">GUE</option>
              </Select>
            </Field>
          ) : null}
          {forwarding === "fullnat" ? (
            <Field
              label={t("form.snatSource")}
              help={help("snatSource", t("form.snatSource"))}
              hint={t("form.snatSourceHint")}
              error={errorOf("snatSource", undefined)}
            >
              <Select {...register("snatSource")}>
                <option value="vip">{t("snatSource.vip")}</option>
                <option value="dip">{t("snatSource.dip")}</option>
                {floatingAddresses.map((address) => (
                  <option key={address} value={address}>
                    {t("snatSource.floating", { address })}
                  </option>
                ))}
              </Select>
            </Field>
          ) : null}
          {hashingSchedulers.includes(scheduler) ? (
            <fieldset className="space-y-2">
              <legend className="mb-1.5 font-medium text-[0.8125rem]">{t("form.schedulerFlags")}</legend>
              {(["fallback", "port"] as const).map((flag) => (
                <label key={flag} className="flex items-center gap-2">
                  <input type="checkbox" value={flag} className="size-4 accent-accent" {...register("schedulerFlags")} />
                  {t(`form.flag.${flag}`)}
                </label>
              ))}
            </fieldset>
          ) : null}
          {protocol === "udp" ? <ToggleRow label={t("form.onePacket")} hint={t("form.onePacketHint")} name="onePacket" /> : null}
          {canSlowStart(scheduler) ? (
            <Field
              label={t("form.slowStart")}
              help={help("slowStart", t("form.slowStart"))}
              hint={t("form.slowStartHint")}
              error={errorOf("slowStartSeconds", formState.errors.slowStartSeconds?.message)}
            >
              <Input {...register("slowStartSeconds", { setValueAs: numberTyped })} inputMode="numeric" />
            </Field>
          ) : null}
          <AllowField errorOf={errorOf} />
          <div className="space-y-3 sm:col-span-2">
            <Toggle
              label={t("form.persistence")}
              hint={t("form.persistenceHint")}
              checked={persistence !== null}
              onChange={(on) =>
                setValue("persistence", on ? { timeoutSeconds: 300, granularity: 32 } : null, {
                  shouldDirty: true,
                  shouldValidate: true,
                })
              }
            />
            {persistence !== null ? (
              <div className="grid gap-4 border-line border-l-2 pl-4 sm:grid-cols-2">
                <Field
                  label={t("form.persistenceTimeout")}
                  help={help("persistenceTimeout", t("form.persistenceTimeout"))}
                  error={errorOf("persistence.timeoutSeconds", formState.errors.persistence?.timeoutSeconds?.message)}
                >
                  <Input {...register("persistence.timeoutSeconds", { setValueAs: numberTyped })} inputMode="numeric" />
                </Field>
                <Field
                  label={t("form.persistenceGranularity")}
                  help={help("persistenceGranularity", t("form.persistenceGranularity"))}
                  hint={t("form.persistenceGranularityHint")}
                  error={errorOf("persistence.granularity", formState.errors.persistence?.granularity?.message)}
                >
                  <Input {...register("persistence.granularity", { setValueAs: numberTyped })} inputMode="numeric" />
                </Field>
              </div>
            ) : null}
          </div>
          <Field
            className="sm:col-span-2"
            label={t("form.description")}
            help={help("description", t("form.description"))}
            note={t("common.optional")}
            error={errorOf("description", formState.errors.description?.message)}
          >
            <Textarea {...register("description")} rows={2} />
          </Field>
          <ToggleRow label={t("form.enabled")} hint={t("form.enabledHint")} name="enabled" />
          {guardField}
        </div>
      </Disclosure>
    </Card>
  );
}

/** Networks as lines of text; what stands between them is the reader's. */
function AllowField({ errorOf }: { errorOf: ErrorOf }) {
  const t = useTranslations("form");
  const help = useFieldHelp();
  const { control, formState } = useFormContext<ServiceValues>();
  const errors = formState.errors.allow;
  const first = Array.isArray(errors) ? errors.findIndex(Boolean) : -1;
  const own = first >= 0 ? (errors as { message?: string }[])[first]?.message : errors?.message;
  return (
    <Controller
      control={control}
      name="allow"
      render={({ field }) => {
        const server = field.value.map((_network, index) => errorOf(`allow.${index}`, undefined)).find(Boolean);
        return (
          <Field
            className="sm:col-span-2"
            label={t("allow")}
            help={help("allow", t("allow"))}
            hint={t("allowHint")}
            error={own ?? server}
          >
            <Textarea
              rows={2}
              spellCheck={false}
              className="font-mono"
              placeholder="192.0.2.0/24"
              defaultValue={field.value.join("\n")}
              onBlur={field.onBlur}
              onChange={(event) => field.onChange(event.target.value.split(/[\s,]+/).filter(Boolean))}
            />
          </Field>
        );
      }}
    />
  );
}

function ToggleRow({ name, label, hint }: { name: "enabled" | "onePacket"; label: string; hint: string }) {
  const { control } = useFormContext<ServiceValues>();
  return (
    <Controller
      control={control}
      name={name}
      render={({ field }) => <Toggle label={label} hint={hint} checked={field.value} onChange={field.onChange} />}
    />
  );
}

function Toggle(props: { label: string; hint: string; checked: boolean; onChange: (on: boolean) => void }) {
  return (
    <div className="flex items-start gap-3">
      <Switch aria-label={props.label} checked={props.checked} onCheckedChange={props.onChange} />
      <div className="min-w-0">
        <p className="font-medium text-[0.8125rem] leading-6">{props.label}</p>
        <p className="text-soft text-xs">{props.hint}</p>
      </div>
    </div>
  );
}
