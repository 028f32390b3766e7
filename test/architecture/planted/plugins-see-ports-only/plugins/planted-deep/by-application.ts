import type { CommandInbox } from '../../core/application/hub/commands.ts';

export type Reach = CommandInbox;
