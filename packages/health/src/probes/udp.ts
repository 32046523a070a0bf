import { createSocket } from "node:dgram";
import type { ActiveCheck } from "@trigon/model";
import { fail, type ProbeResult, type Target } from "../probe.ts";
import { attempt, resultOf } from "./attempt.ts";

type UdpCheck = Extract<ActiveCheck, { kind: "udp" }>;

/** What a payload or reply of a check stands for. */
export const udpBytes = (text: string, encoding: UdpCheck["encoding"]): Buffer =>
  Buffer.from(text, encoding === "hex" ? "hex" : "utf8");

/** Passes when a reply comes that contains what is wished. Silence fails: a dead host sends no ICMP error either. */
export const probeUdp = ({ rip, port }: Target, check: UdpCheck): Promise<ProbeResult> =>
  attempt(
    check.timeoutMs,
    (settle, passed) => {
      const bytes = (text: string) => udpBytes(text, check.encoding);
      const socket = createSocket(rip.includes(":") ? "udp6" : "udp4");
      const failed = (error: NodeJS.ErrnoException) => settle(resultOf(error));
      socket.on("error", failed);
      socket.on("message", (reply) => {
        if (check.reply === null || reply.includes(bytes(check.reply))) passed();
        else settle(fail("reply", "The reply does not contain what is wished"));
      });
      // Connected, the kernel hands on "port unreachable", and takes replies from this endpoint only.
      socket.connect(port, rip, (error?: Error) => {
        if (error) failed(error);
        else
          socket.send(bytes(check.payload), (failure) => {
            if (failure) failed(failure);
          });
      });
      return () => socket.close();
    },
    () => fail("noReply", `No reply within ${check.timeoutMs} ms`),
  );
