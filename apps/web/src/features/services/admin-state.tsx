"use client";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { endpoint, type GateView, type ServiceCountersView, type VirtualServiceView } from "@trigon/model";
import { Button, Chip, ConfirmDialog, Menu, MenuItem, toast } from "@trigon/ui";
import { CirclePause, CirclePlay, CircleSlash2, DoorOpen, Ellipsis, Eraser, Wrench } from "lucide-react";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { ProblemCallout } from "../../components/problem-view.tsx";
import { useTRPC } from "../../lib/trpc.ts";

type RealServer = VirtualServiceView["realServers"][number];
type Drain = ServiceCountersView["realServers"][number]["drain"];

/** What an operator wants of a real server, and how far its drain is. */
export function AdminStateChip({ server, drain }: { server: RealServer; drain: Drain | undefined }) {
  const t = useTranslations("adminState");
  const looks = {
    active: { tone: "good", icon: CirclePlay },
    draining: { tone: "busy", icon: CirclePause },
    maintenance: { tone: "warn", icon: Wrench },
    disabled: { tone: "idle", icon: CircleSlash2 },
  } as const;
  const { tone, icon } = looks[server.adminState];
  return (
    <span className="inline-flex flex-col items-start gap-0.5 max-sm:items-end">
      <Chip tone={tone} icon={icon}>
        {t(server.adminState)}
      </Chip>
      {drain ? (
        <span className="max-w-[34ch] whitespace-normal text-soft text-xs leading-snug">
          {drain.state === "draining"
            ? t(drain.etaSeconds === null ? "left" : "leftFor", { count: drain.left, seconds: drain.etaSeconds ?? 0 })
            : t(drain.state)}{" "}
          {drain.persistent > 0 ? t("pinned", { count: drain.persistent }) : null}
        </span>
      ) : null}
    </span>
  );
}

/** What can be done with one real server of a service, and with its gates. */
export function RealServerMenu({ view, server }: { view: VirtualServiceView; server: RealServer }) {
  const t = useTranslations();
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const [isDisabling, setDisabling] = useState(false);
  const refresh = () => queryClient.invalidateQueries(trpc.virtualService.get.queryFilter({ id: view.id }));
  const options = {
    onSuccess: () => {
      setDisabling(false);
      toast.success(t("adminState.saved", { rip: server.rip }));
      void refresh();
    },
    onError: () => {
      toast.error(t("service.notSaved"));
      void refresh();
    },
  };
  const drain = useMutation(trpc.virtualService.drain.mutationOptions(options));
  const activate = useMutation(trpc.virtualService.activate.mutationOptions(options));
  const disable = useMutation(trpc.virtualService.disable.mutationOptions(options));
  const target = { id: view.id, realServerId: server.id };
  const place = endpoint(server.rip, server.port ?? view.port);
  const { adminState } = server;
  return (
    <>
      <Menu
        trigger={
          <Button size="sm" variant="ghost" aria-label={t("adminState.actionsFor", { place })}>
            <Ellipsis aria-hidden />
          </Button>
        }
      >
        {adminState === "active" ? null : (
          <MenuItem onSelect={() => activate.mutate(target)}>
            <CirclePlay aria-hidden /> {t("adminState.activate")}
          </MenuItem>
        )}
        {adminState === "draining" ? null : (
          <MenuItem onSelect={() => drain.mutate(target)}>
            <CirclePause aria-hidden /> {t("adminState.drain")}
          </MenuItem>
        )}
        {view.persistence && adminState !== "draining" ? (
          <MenuItem onSelect={() => drain.mutate({ ...target, spec: { mode: "honourPersistence" } })}>
            <CirclePause aria-hidden /> {t("adminState.drainHonouring")}
          </MenuItem>
        ) : null}
        {adminState === "maintenance" ? null : (
          <MenuItem onSelect={() => drain.mutate({ ...target, spec: { maintenance: true } })}>
            <Wrench aria-hidden /> {t("adminState.maintain")}
          </MenuItem>
        )}
        {adminState === "disabled" ? null : (
          <MenuItem onSelect={() => setDisabling(true)}>
            <CircleSlash2 aria-hidden /> {t("adminState.disable")}
          </MenuItem>
        )}
      </Menu>
      <ConfirmDialog
        open={isDisabling}
        onOpenChange={setDisabling}
        title={t("adminState.disableTitle", { place })}
        consequence={<p>{t("adminState.disableConsequence")}</p>}
        confirmLabel={t("adminState.disable")}
        cancelLabel={t("common.cancel")}
        loading={disable.isPending}
        error={disable.error ? <ProblemCallout error={disable.error} /> : undefined}
        onConfirm={() => disable.mutate(target)}
      />
    </>
  );
}

/** The way past a gate that waits for somebody's word, with what that risks. */
export function GateOverride({ serviceId, gate }: { serviceId: string; gate: GateView }) {
  const t = useTranslations();
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const [isAsking, setAsking] = useState(false);
  const options = {
    onSuccess: () => {
      setAsking(false);
      void queryClient.invalidateQueries(trpc.virtualService.get.queryFilter({ id: serviceId }));
    },
  };
  const force = useMutation(trpc.gate.force.mutationOptions(options));
  const forget = useMutation(trpc.gate.forget.mutationOptions(options));
  if (gate.state === "open") return null;
  const step = gate.state === "waiting" ? "force" : "forget";
  const mutation = step === "force" ? force : forget;
  const Icon = step === "force" ? DoorOpen : Eraser;
  return (
    <>
      <Button size="sm" variant="ghost" onClick={() => setAsking(true)}>
        <Icon aria-hidden /> {t(`gate.${step}`)}
      </Button>
      <ConfirmDialog
        open={isAsking}
        onOpenChange={setAsking}
        title={t(`gate.${step}Title`, { place: endpoint(gate.rip, gate.port) })}
        consequence={<p>{t(`gate.${step}Consequence`)}</p>}
        confirmLabel={t(`gate.${step}`)}
        cancelLabel={t("common.cancel")}
        loading={mutation.isPending}
        error={mutation.error ? <ProblemCallout error={mutation.error} /> : undefined}
        onConfirm={() => mutation.mutate({ id: serviceId, realServerId: gate.realServerId, directorNodeId: gate.directorNodeId })}
      />
    </>
  );
}
