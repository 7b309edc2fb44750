"""What every source and sink must keep, as tests that their authors subclass."""

from __future__ import annotations

from streamlet.testing.connectors.breach import ContractBroken
from streamlet.testing.connectors.place import SinkPlace
from streamlet.testing.connectors.sink_contract import SinkContract
from streamlet.testing.connectors.source_contract import SourceContract

__all__ = ["ContractBroken", "SinkContract", "SinkPlace", "SourceContract"]
