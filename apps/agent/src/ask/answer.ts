import { AgentQuestion, unreachable } from "@trigon/model";
import type { Kernel } from "@trigon/reconciler";
import { reasonOf } from "../log.ts";
import { connectionTable } from "./connection-table.ts";
import type { Upgrades } from "./upgrades.ts";

/** Answers what a controller asks. Never throws: a question that is not understood, or cannot be answered, is a problem to tell. */
export async function answerTo(
  raw: unknown,
  { kernel, upgrades }: { kernel: Pick<Kernel, "eachConnection">; upgrades: Pick<Upgrades, "ask"> },
): Promise<{ answer: unknown } | { problem: string }> {
  const question = AgentQuestion.safeParse(raw);
  if (!question.success) return { problem: "This agent does not know such a question: it is older than the controller." };
  try {
    switch (question.data.what) {
      case "connections":
        return { answer: await connectionTable(kernel, question.data) };
      case "upgrade":
        return { answer: await upgrades.ask(question.data.id) };
      default:
        return unreachable(question.data);
    }
  } catch (error) {
    return { problem: reasonOf(error).slice(0, 1_000) };
  }
}
