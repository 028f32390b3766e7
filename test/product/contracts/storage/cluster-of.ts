/** The part of a unit of work that several hubs need, of a shared store. */
import { AgentcomError } from '../../../../core/errors/agentcom-error.ts';
import type { ClusterUnit } from '../../../../core/ports/cluster-unit.ts';
import type { StoreUnit } from '../../../../core/ports/task-store.ts';

/** Fails if the store is for one hub only. */
export function clusterOf({ cluster }: StoreUnit): ClusterUnit {
  if (cluster === null)
    throw new AgentcomError('AC_INTERNAL', 'A unit of work has no `cluster`; expected one, since its store is to be shared.');
  return cluster;
}
