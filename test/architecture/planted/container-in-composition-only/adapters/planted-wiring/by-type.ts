import type { Container } from 'inversify';

export type Wiring = Container;
