import type { CommandInbox } from '../../core/application/hub/batch/commands.ts';

export type Reach = CommandInbox;
