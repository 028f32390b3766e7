/** The process table of this machine: /proc on Linux, `ps` elsewhere. */
import { linuxProcessTable } from './process-table-linux.ts';
import { psProcessTable } from './process-table-ps.ts';
import type { ProcessTable } from './process-table.ts';

/** The process table of this machine: from `/proc` on Linux, from `ps` elsewhere. */
export const systemProcessTable = (platform: string = process.platform): ProcessTable =>
  platform === 'linux' ? linuxProcessTable() : psProcessTable();
