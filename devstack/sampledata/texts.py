"""Pools of ready texts, so that a row costs a few look-ups instead of a few sentences.

The texts of a pool are kept twice: plain, and as the inside of a JSON string literal written with
``ensure_ascii`` as Dify does. Rows are put together from the escaped form without encoding again.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass

FULL_TEXT_PHRASE = "quarterly refund ledger"
"""A phrase that some generated inputs and outputs of every tenant contain, for search examples."""

_WORDS = tuple(
    """
account answer approval article assistant attachment audit balance batch billing branch budget
cancel candidate catalog channel charge claim clause client comment contract copy country coverage
credit currency customer damage dataset deadline delay delivery department deposit device discount
dispute document domain download draft email employee engine entry error escalate estimate event
exchange export feedback field filter finance folder form format forward gateway goods guarantee
guide history holiday hour import index inquiry install insurance invoice issue journey knowledge
label language ledger letter license limit location login loyalty manual manager margin market
meeting member message meter model module month network notice number offer office operator option
order owner package parcel partner passage password payment penalty period permit phone plan policy
portal position premium price priority process product profile project promise proof purchase
quality quantity query question quota quote rating reason receipt record refund region register
reminder renewal rental repair reply report request reset response return review reward risk route
rule salary sample schedule score search section segment server service session settlement share
shipment signature site source staff standard statement status stock storage subject subscription
summary supplier support survey system table target tariff task team template term ticket token tool
topic transfer travel trial update upgrade usage user value vendor version visit voucher warranty
website week window workflow zone is the a of and to in for with that on was by as are from this be
at or an has not will can may should please check we you it within after before because when if
""".split()  # noqa: SIM905 - 250 quoted words would be no clearer
)

_CHINESE = (
    "请根据上下文回答用户的问题",
    "知识库检索结果如下",
    "订单退款政策说明",
    "系统错误请稍后重试",
    "客户支持工单已创建",
    "文档内容摘要本季度收入增长",
    "模型输出未通过安全检查",
    "工作流节点执行完成",
)
_OTHER = (
    "Grüße aus München",
    "déjà vu, naïve café",
    "добрый день",
    "ありがとう",
    "👍 done 🎉",
    "مرحبا",
)
_ENDS = (". ", ". ", ", ", ": ", "? ", ".\n", '. "quoted" ', " \\path\\to\\file ", ";\t", " … ")


@dataclass(frozen=True, slots=True)
class Text:
    """One text, plain and as the inside of a JSON string literal."""

    plain: str
    escaped: str


def escape(text: str) -> str:
    """The inside of the JSON string literal of a text, ASCII only."""
    return json.dumps(text)[1:-1]


def compose(rng: random.Random, length: int) -> str:
    """A text of about the given number of characters: words, punctuation, some other scripts."""
    parts: list[str] = []
    size = 0
    until_end = 9
    while size < length:
        word = _WORDS[int(rng.random() * len(_WORDS))]
        until_end -= 1
        if until_end:
            part = word + " "
        else:
            until_end = 5 + int(rng.random() * 10)
            part = word + _ENDS[int(rng.random() * len(_ENDS))]
            luck = rng.random()
            if luck < 0.06:
                part += rng.choice(_CHINESE) + " "
            elif luck < 0.09:
                part += rng.choice(_OTHER) + " "
        parts.append(part)
        size += len(part)
    return "".join(parts).strip() or "ok"


class TextPools:
    """Texts in three sizes, drawn with the generator's own random numbers.

    :param seed: seed of the pools
    :param scale: factor on the sizes
    """

    def __init__(self, *, seed: int, scale: float) -> None:
        rng = random.Random(f"{seed}/texts")
        self.short = self._pool(rng, count=400, median=45, spread=0.4)
        self.medium = self._pool(rng, count=400, median=230 * scale, spread=0.7)
        self.long = self._pool(rng, count=300, median=620 * scale, spread=0.8)

    @staticmethod
    def _pool(rng: random.Random, *, count: int, median: float, spread: float) -> list[Text]:
        pool = []
        for number in range(count):
            length = min(40 * median, median * rng.lognormvariate(0, spread))
            plain = compose(rng, max(8, int(length)))
            if number % 40 == 7:
                plain = f"{plain} {FULL_TEXT_PHRASE}"
            pool.append(Text(plain, escape(plain)))
        return pool
