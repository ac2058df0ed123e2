/** What is told to the user as it is: no defect of the test bed, so no stack. */
export class TestbedFailure extends Error {
  override readonly name = 'TestbedFailure'
}
