"use client";
import { useQuery } from "@tanstack/react-query";
import { Forwarding, type NodeView } from "@trigon/model";
import { Button, Card, CardHeader, Field, FieldMessage, Input, Select } from "@trigon/ui";
import { Plus, Trash2 } from "lucide-react";
import { useId, useState } from "react";
import { useFieldArray, useFormContext, useWatch } from "react-hook-form";
import { useTranslations } from "use-intl";
import { numberTyped } from "../../lib/field-issues.ts";
import { useTRPC } from "../../lib/trpc.ts";
import { repliesDirectly } from "./counters.ts";
import { useFieldHelp } from "./field-help.tsx";
import { type ErrorOf, emptyRealServer, type ServiceValues } from "./spec.ts";

/** The real servers of a service as an editable table; on a narrow screen each row is a block of its own. */
export function RealServersEditor({ errorOf }: { errorOf: ErrorOf }) {
  const t = useTranslations("form");
  const trpc = useTRPC();
  const { control, formState, getValues } = useFormContext<ServiceValues>();
  const rows = useFieldArray({ control, name: "realServers", keyName: "key" });
  const [showsMore, setShowsMore] = useState(() =>
    getValues("realServers").some((row) => row.forwarding !== null || row.upperThreshold > 0 || row.lowerThreshold > 0),
  );
  const nodes = useQuery(trpc.node.list.queryOptions({ limit: 1000 }));
  const listId = useId();
  const own = formState.errors.realServers?.root?.message ?? formState.errors.realServers?.message;
  const error = errorOf("realServers", own);
  return (
    <Card>
      <CardHeader
        title={t("realServers")}
        hint={t("realServersHint")}
        actions={
          <Button size="sm" variant="ghost" aria-pressed={showsMore} onClick={() => setShowsMore(!showsMore)}>
            {showsMore ? t("fewerColumns") : t("moreColumns")}
          </Button>
        }
      />
      <datalist id={listId}>
        {nodes.data?.data.filter((node) => node.role === "realServer" && node.state === "active").flatMap(addressesOf)}
      </datalist>
      <div className="divide-y">
        {rows.fields.map((field, index) => (
          <Row
            key={field.key}
            index={index}
            listId={listId}
            showsMore={showsMore}
            errorOf={errorOf}
            onRemove={() => rows.remove(index)}
          />
        ))}
      </div>
      <div className="flex flex-wrap items-center gap-3 border-t p-3">
        <Button size="sm" onClick={() => rows.append(emptyRealServer(), { focusName: `realServers.${rows.fields.length}.rip` })}>
          <Plus aria-hidden /> {t("addRealServer")}
        </Button>
        {error ? <FieldMessage>{error}</FieldMessage> : null}
      </div>
    </Card>
  );
}

function addressesOf(node: NodeView) {
  return node.addresses.map((address) => (
    <option key={`${node.id}${address}`} value={address}>
      {node.name}
    </option>
  ));
}

function Row(props: { index: number; listId: string; showsMore: boolean; errorOf: ErrorOf; onRemove: () => void }) {
  const t = useTranslations();
  const { index, errorOf } = props;
  const helpOf = useFieldHelp();
  // Said once, above the first of them.
  const help: typeof helpOf | (() => undefined) = index === 0 ? helpOf : () => undefined;
  const { register, control, formState, setValue } = useFormContext<ServiceValues>();
  const [servicePort, serviceForwarding, rowForwarding, rowPort] = useWatch({
    control,
    name: ["port", "forwarding", `realServers.${index}.forwarding`, `realServers.${index}.port`],
  });
  const errors = formState.errors.realServers?.[index];
  const path = `realServers.${index}` as const;
  const keepsPort = repliesDirectly(rowForwarding ?? serviceForwarding);
  return (
    <fieldset className="grid grid-cols-[1fr_1fr_auto] items-start gap-3 p-3 sm:flex sm:flex-wrap">
      <legend className="sr-only">{t("form.realServerNumber", { number: index + 1 })}</legend>
      <Field
        label="RIP"
        help={help("rip", "RIP")}
        className="col-span-3 sm:w-56"
        error={errorOf(`${path}.rip`, errors?.rip?.message)}
      >
        <Input
          {...register(`${path}.rip`)}
          list={props.listId}
          autoComplete="off"
          spellCheck={false}
          placeholder="10.0.0.21"
          className="font-mono"
        />
      </Field>
      <Field
        label={t("form.port")}
        help={help("realServerPort", t("form.port"))}
        className="sm:w-36"
        hint={keepsPort && rowPort === null ? t("form.portKept") : undefined}
        error={errorOf(`${path}.port`, errors?.port?.message)}
      >
        <Input
          {...register(`${path}.port`, { setValueAs: numberTyped })}
          inputMode="numeric"
          autoComplete="off"
          placeholder={typeof servicePort === "number" ? String(servicePort) : t("form.samePort")}
        />
      </Field>
      <Field
        label={t("form.weight")}
        help={help("weight", t("form.weight"))}
        className="sm:w-24"
        error={errorOf(`${path}.weight`, errors?.weight?.message)}
      >
        <Input {...register(`${path}.weight`, { setValueAs: numberTyped })} inputMode="numeric" autoComplete="off" />
      </Field>
      {props.showsMore ? (
        <>
          <Field
            label={t("form.forwarding")}
            help={help("realServerForwarding", t("form.forwarding"))}
            className="sm:w-40"
            error={errorOf(`${path}.forwarding`, errors?.forwarding?.message)}
          >
            <Select
              value={rowForwarding ?? ""}
              onChange={(event) => {
                const chosen = Forwarding.safeParse(event.target.value);
                setValue(`${path}.forwarding`, chosen.success ? chosen.data : null, { shouldDirty: true, shouldValidate: true });
              }}
            >
              <option value="">{t("form.asService")}</option>
              {Forwarding.options.map((forwarding) => (
                <option key={forwarding} value={forwarding}>
                  {t(`forwarding.${forwarding}.short`)}
                </option>
              ))}
            </Select>
          </Field>
          <Field
            label={t("form.upperThreshold")}
            help={help("upperThreshold", t("form.upperThreshold"))}
            className="sm:w-32"
            hint={t("form.thresholdHint")}
            error={errorOf(`${path}.upperThreshold`, errors?.upperThreshold?.message)}
          >
            <Input {...register(`${path}.upperThreshold`, { setValueAs: numberTyped })} inputMode="numeric" />
          </Field>
          <Field
            label={t("form.lowerThreshold")}
            help={help("lowerThreshold", t("form.lowerThreshold"))}
            className="sm:w-32"
            error={errorOf(`${path}.lowerThreshold`, errors?.lowerThreshold?.message)}
          >
            <Input {...register(`${path}.lowerThreshold`, { setValueAs: numberTyped })} inputMode="numeric" />
          </Field>
        </>
      ) : null}
      <Button
        variant="ghost"
        size="icon"
        className="mt-6 sm:ml-auto"
        aria-label={t("form.removeRealServer", { number: index + 1 })}
        onClick={props.onRemove}
      >
        <Trash2 aria-hidden />
      </Button>
    </fieldset>
  );
}
