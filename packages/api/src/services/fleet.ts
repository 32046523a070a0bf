import type { StoredFleet } from "../fleet-rows.ts";
import type { ServiceContext } from "../service-context.ts";
import type { Services } from "../services.ts";
import type { FleetView } from "../shapes.ts";

/** How long the mark for mass removal holds after a restored database was confirmed with it. */
const massRemovalMs = 3_600_000;

const viewOf = ({ id, epoch, sequence, observeOnly, allowMassRemovalUntil, highestReported }: StoredFleet): FleetView => ({
  id,
  epoch,
  sequence,
  observeOnly,
  allowMassRemovalUntil: allowMassRemovalUntil?.toISOString() ?? null,
  highestReported,
});

/** The fleet as a whole. */
export function fleet({ store }: ServiceContext): Services["fleet"] {
  return {
    async get() {
      return viewOf((await store.refresh()).current);
    },

    async confirmRestore(call, { allowMassRemoval }) {
      await store.write(
        call,
        async (draft) => {
          const { epoch, highestReported } = draft.state.current;
          // The new epoch's generations begin past all that agents have seen, so that none of them looks older than it is.
          const past = Math.max(draft.sequence, highestReported ?? 0) + 1;
          await draft.tx.fleet.updateMany({
            data: {
              epoch: epoch + 1,
              observeOnly: false,
              highestReported: null,
              allowMassRemovalUntil: allowMassRemoval ? new Date(draft.now.getTime() + massRemovalMs) : null,
            },
          });
          draft.change({
            action: "updated",
            objectKind: "fleet",
            objectId: draft.state.current.id,
            objectName: "fleet",
            before: { epoch },
            after: { epoch: epoch + 1 },
          });
          draft.audit("fleet.restoreConfirmed", draft.state.current.id, { epoch: epoch + 1, allowMassRemoval });
          await draft.tx.fleet.updateMany({ data: { sequence: past } });
        },
        { evenObserving: true },
      );
      return viewOf((await store.refresh()).current);
    },
  };
}
