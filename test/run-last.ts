import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Vitest's own order, but that files which take the shared world apart run after all others. */
export class RunLast extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLast = ({ moduleId }: TestSpecification) => moduleId.endsWith("/test/product/uninstall.test.ts");
    const sorted = await super.sort(files);
    return [...sorted.filter((file) => !isLast(file)), ...sorted.filter(isLast)];
  }
}
