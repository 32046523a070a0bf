import { expect, test } from "vitest";
import { parseListen, readConfig } from "./config.ts";

test("listen addresses are TCP, IPv6 in brackets, a bare port, or a unix socket", () => {
  expect(parseListen("127.0.0.1:8443")).toEqual({ host: "127.0.0.1", port: 8443 });
  expect(parseListen("[::1]:8443")).toEqual({ host: "::1", port: 8443 });
  expect(parseListen(":9443")).toEqual({ host: "0.0.0.0", port: 9443 });
  expect(parseListen("unix:/run/trigon.sock")).toEqual({ path: "/run/trigon.sock" });
  expect(() => parseListen("8443")).toThrow("8443");
  expect(() => parseListen("a:70000")).toThrow("70000");
});

test("the agent URL follows the public URL's host and the agent port", () => {
  const config = readConfig(
    { DATABASE_URL: "postgres://x", TRIGON_PUBLIC_URL: "https://lb.example:8443/", TRIGON_AGENT_LISTEN: ":9555" },
    "/srv/trigon",
  );
  expect(config).toMatchObject({
    publicUrl: "https://lb.example:8443",
    agentUrl: "https://lb.example:9555",
    dataDir: "/srv/trigon/.trigon",
  });
});

test("a node's certificate lasts 30 days unless told otherwise", () => {
  expect(readConfig({ DATABASE_URL: "x" }, "/").nodeCertificateSeconds).toBe(2_592_000);
  expect(readConfig({ DATABASE_URL: "x", TRIGON_NODE_CERT_SECONDS: "86400" }, "/").nodeCertificateSeconds).toBe(86_400);
});

test("a wrong variable is named", () => {
  expect(() => readConfig({}, "/")).toThrow("DATABASE_URL");
  expect(() => readConfig({ DATABASE_URL: "x", TRIGON_PUBLIC_URL: "http://lb" }, "/")).toThrow("TRIGON_PUBLIC_URL");
  expect(() => readConfig({ DATABASE_URL: "x", TRIGON_NODE_CERT_SECONDS: "29" }, "/")).toThrow("TRIGON_NODE_CERT_SECONDS");
  expect(() => readConfig({ DATABASE_URL: "x", TRIGON_NODE_CERT_SECONDS: "1 day" }, "/")).toThrow("TRIGON_NODE_CERT_SECONDS");
  expect(() => readConfig({ DATABASE_URL: "x", TRIGON_TLS_CERT: "a.pem" }, "/")).toThrow("TRIGON_TLS_KEY");
});
