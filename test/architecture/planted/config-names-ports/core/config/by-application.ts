import type { CommandInbox } from '../application/hub/batch/commands.ts';

export type Chosen = CommandInbox;
