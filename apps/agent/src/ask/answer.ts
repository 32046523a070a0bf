import { AgentQuestion, unreachable } from "@trigon/model";
import type { Kernel } from "@trigon/reconciler";
import { reasonOf } from "../log.ts";
import { connectionTable } from "./connection-table.ts";

/** Answers what a controller asks. Never throws: a question that is not understood, or cannot be answered, is a problem to tell. */
export async function answerTo(
  raw: unknown,
  kernel: Pick<Kernel, "eachConnection">,
): Promise<{ answer: unknown } | { problem: string }> {
  const question = AgentQuestion.safeParse(raw);
  if (!question.success) return { problem: "This agent does not know such a question: it is older than the controller." };
  try {
    switch (question.data.what) {
      case "connections":
        return { answer: await connectionTable(kernel, question.data) };
      default:
        return unreachable(question.data.what);
    }
  } catch (error) {
    return { problem: reasonOf(error).slice(0, 1_000) };
  }
}
