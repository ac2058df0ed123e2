/** What was looked at, and whether it is as Swift needs it. */
export interface ConfigCheck {
  readonly name: string
  readonly result: 'pass' | 'fail'
  readonly expected: string
  readonly found: string
  /** Where it stands: Swift's file, or its documentation. */
  readonly source: string
}
