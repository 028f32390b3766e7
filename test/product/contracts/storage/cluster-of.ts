/** The part of a unit of work that several hubs need, of a store that is shared. */
import { AgentcomError } from '../../../../core/errors/agentcom-error.ts';
import type { ClusterUnit } from '../../../../core/ports/cluster-unit.ts';
import type { StoreUnit } from '../../../../core/ports/task-store.ts';

/** Fails where the store says that it serves one hub. */
export function clusterOf({ cluster }: StoreUnit): ClusterUnit {
  if (cluster === null)
    throw new AgentcomError('AC_INTERNAL', 'A unit of work has no `cluster`; expected one, since its store is to be shared.');
  return cluster;
}
