import type { SidecarState } from '../../sidecar/state/state.ts';

export const slotsOf = (state: SidecarState): number => state.journal.slots.length;
