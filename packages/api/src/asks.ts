import type { Database, Prisma } from "@trigon/db";
import { type AgentAnswer, type AgentQuestion, DomainError } from "@trigon/model";
import { newId } from "./new-id.ts";
import { newsText } from "./news.ts";

/** A node answers at once or not at all. */
const answerMs = 8_000;
/** An answer that nobody fetched is forgotten after so long. */
const keptMs = 60_000;

interface Waiting {
  nodeId: string;
  take(answer: Pick<AgentAnswer, "answer" | "problem">): void;
}

const refusal = (code: "node.notConnected" | "node.noAnswer", node: string, detail: string) =>
  new DomainError(code, detail, [{ pointer: "/id", code, detail, meta: { node, seconds: answerMs / 1000 } }]);

/** Questions to nodes, by way of whichever replica a node is connected to. */
export class Asks {
  readonly #db: Database;
  readonly #isConnected: (nodeId: string) => boolean;
  readonly #waiting = new Map<string, Waiting>();

  constructor({ db, isConnected }: { db: Database; isConnected: (nodeId: string) => boolean }) {
    this.#db = db;
    this.#isConnected = isConnected;
  }

  /** What is thrown for a node that cannot be asked. */
  notConnected({ name }: { name: string }): DomainError {
    return refusal("node.notConnected", name, `${name} is not connected: nothing can be asked of it now.`);
  }

  /**
   * Throws `node.notConnected`, and `node.noAnswer` when none came in time; with a field of code `agent.problem` when the node said why it
   * does not answer.
   */
  async ask({ id: nodeId, name }: { id: string; name: string }, question: AgentQuestion): Promise<unknown> {
    if (!this.#isConnected(nodeId)) throw this.notConnected({ name });
    const id = newId("ask");
    let timer: NodeJS.Timeout | undefined;
    const answered = new Promise<Pick<AgentAnswer, "answer" | "problem">>((resolve, reject) => {
      this.#waiting.set(id, { nodeId, take: resolve });
      const late = `${name} did not answer within ${answerMs / 1000} s; an agent of an earlier version answers no questions.`;
      timer = setTimeout(() => reject(refusal("node.noAnswer", name, late)), answerMs);
    });
    try {
      await Promise.race([this.#db.tell(newsText({ kind: "ask", nodeId, id, question })), answered]);
      const { answer, problem } = await answered;
      if (problem !== undefined)
        throw new DomainError("node.noAnswer", `${name} could not answer: ${problem}`, [
          { pointer: "/id", code: "agent.problem", detail: problem, meta: { node: name, message: problem } },
        ]);
      return answer;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  /** A node answered here. Another replica that asked is told where the answer lies. */
  async answered(nodeId: string, { id, answer, problem }: AgentAnswer): Promise<void> {
    const waiting = this.#waiting.get(id);
    if (waiting) {
      if (waiting.nodeId === nodeId) waiting.take({ answer, problem });
      return;
    }
    const { agentAnswer } = this.#db.prisma;
    await agentAnswer.deleteMany({ where: { at: { lt: new Date(Date.now() - keptMs) } } });
    const body = JSON.parse(JSON.stringify({ answer, problem })) as Prisma.InputJsonObject;
    await agentAnswer.createMany({ data: { id, nodeId, body }, skipDuplicates: true });
    await this.#db.tell(newsText({ kind: "answer", id }));
  }

  /** An answer to one of the replicas lies in the database. */
  async fetch(id: string): Promise<void> {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    const row = await this.#db.prisma.agentAnswer.findUnique({ where: { id } });
    if (row?.nodeId !== waiting.nodeId) return;
    waiting.take(row.body as Pick<AgentAnswer, "answer" | "problem">);
    await this.#db.prisma.agentAnswer.deleteMany({ where: { id } });
  }
}
