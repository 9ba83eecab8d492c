"""The parts of the suite: each measures one thing and writes raw rows; none says what they mean."""
