package receipt

import (
	"posagent/agent/journal"
	"posagent/agent/payment"
)

// Lang is the language of a slip.
type Lang string

// Languages of a slip.
const (
	ZH   Lang = "zh"
	EN   Lang = "en"
	Both Lang = "both"
)

// Copy says for whom a receipt is. Its value is also the name under which the
// journal counts the copies.
type Copy string

// Copies of a receipt.
const (
	Merchant   Copy = "merchant"
	Cardholder Copy = "cardholder"
)

// word is one thing said in both languages.
type word struct{ zh, en string }

// in gives the word in a language; both are joined by a space.
func (w word) in(l Lang) string { return w.join(l, " ") }

// lines gives the word in a language; both stand on lines of their own.
func (w word) lines(l Lang) string { return w.join(l, "\n") }

func (w word) join(l Lang, sep string) string {
	switch {
	case l == ZH && w.zh != "", w.en == "":
		return w.zh
	case l == EN && w.en != "", w.zh == "", w.zh == w.en:
		return w.en
	}
	return w.zh + sep + w.en
}

var (
	wSlip         = word{"POS 签购单", "POS RECEIPT"}
	wMerchantCopy = word{"商户存根", "MERCHANT COPY"}
	wCardCopy     = word{"持卡人存根", "CARDHOLDER COPY"}
	wReprint      = word{"重打印凭证", "REPRINT"}
	wTest         = word{"测试 此单无效", "TEST - NOT VALID"}

	wMerchant   = word{"商户名称", "MERCHANT"}
	wMID        = word{"商户编号", "MID"}
	wTID        = word{"终端编号", "TID"}
	wOperator   = word{"操作员号", "OPERATOR"}
	wAcquirer   = word{"收单机构", "ACQUIRER"}
	wIssuer     = word{"发卡机构", "ISSUER"}
	wCardOrg    = word{"卡组织", "SCHEME"}
	wCard       = word{"卡号", "CARD NO."}
	wSequence   = word{"卡序列号", "CARD SEQ."}
	wEntry      = word{"读卡方式", "ENTRY"}
	wType       = word{"交易类型", "TYPE"}
	wBatch      = word{"批次号", "BATCH"}
	wVoucher    = word{"凭证号", "VOUCHER"}
	wReference  = word{"参考号", "REF. NO."}
	wAuth       = word{"授权码", "AUTH. CODE"}
	wTime       = word{"日期时间", "DATE/TIME"}
	wAmount     = word{"金额", "AMOUNT"}
	wCode       = word{"应答码", "RESPONSE"}
	wOrigBatch  = word{"原批次号", "ORIG. BATCH"}
	wOrigVouch  = word{"原凭证号", "ORIG. VOUCHER"}
	wOrigRef    = word{"原参考号", "ORIG. REF."}
	wOrigAuth   = word{"原授权码", "ORIG. AUTH."}
	wApp        = word{"应用名称", "APP"}
	wCVM        = word{"持卡人验证", "CVM"}
	wRevReason  = word{"冲正原因", "REV. REASON"}
	wRevCode    = word{"冲正应答", "REV. RESPONSE"}
	wRevTime    = word{"冲正时间", "REVERSED AT"}
	wHostText   = word{"备注", "REMARK"}
	wSignature  = word{"持卡人签名", "CARDHOLDER SIGNATURE"}
	wAgree      = word{"本人确认以上交易,同意将其记入本卡账户。", "I agree that the amount above is charged to my card."}
	wNoCVM      = word{"免密免签", "NO PIN, NO SIGNATURE NEEDED"}
	wNoCVMBelow = word{"交易金额未超过%s\n免密免签", "AMOUNT NOT ABOVE %s\nNO PIN, NO SIGNATURE NEEDED"}
	wPIN        = word{"已输密码,无需签名", "PIN ENTERED, NO SIGNATURE"}
	wDevice     = word{"已在设备上验证,无需签名", "DEVICE VERIFIED, NO SIGNATURE"}
)

// types names what was done.
var types = map[payment.Type]word{
	payment.Sale:           {"消费", "SALE"},
	payment.Void:           {"消费撤销", "VOID"},
	payment.Refund:         {"退货", "REFUND"},
	payment.BalanceInquiry: {"余额查询", "BALANCE INQUIRY"},
}

var entries = map[payment.EntryMode]word{
	payment.Manual:      {"手工输入", "MANUAL"},
	payment.Magstripe:   {"刷卡", "SWIPE"},
	payment.Chip:        {"插卡", "CHIP"},
	payment.Contactless: {"挥卡", "CONTACTLESS"},
	payment.QR:          {"扫码", "QR"},
}

var cvms = map[string]word{
	journal.CVMNone:       {"无", "NONE"},
	journal.CVMOnlinePIN:  {"联机密码", "ONLINE PIN"},
	journal.CVMOfflinePIN: {"脱机密码", "OFFLINE PIN"},
	journal.CVMSignature:  {"签名", "SIGNATURE"},
	journal.CVMDevice:     {"设备验证", "DEVICE"},
	journal.CVMFailed:     {"失败", "FAILED"},
}

// outcome is what a receipt says in double size about a transaction that is not
// approved, and what it means for the people at the counter.
type outcome struct{ title, meaning word }

var outcomes = map[journal.State]outcome{
	journal.Declined:  {word{"交易失败", "DECLINED"}, word{"未扣款", "NO MONEY WAS TAKEN"}},
	journal.NotSent:   {word{"交易未发送", "NOT SENT"}, word{"未扣款", "NO MONEY WAS TAKEN"}},
	journal.Reversing: {word{"交易取消", "CANCELLED"}, word{"冲正中,请勿交付商品", "REVERSAL UNDER WAY\nDO NOT HAND OVER GOODS"}},
	journal.Reversed:  {word{"已冲正", "REVERSED"}, word{"交易已取消,款项退回", "UNDONE, NO MONEY IS DUE"}},
}

// reasons explains why a transaction was reversed.
var reasons = map[payment.Reason]word{
	payment.ReasonNoReply: {"应答超时", "NO REPLY"},
	payment.ReasonBadMAC:  {"应答校验错", "REPLY NOT AUTHENTIC"},
	payment.ReasonOther:   {"终端或卡片拒绝", "REFUSED BY CARD OR TERMINAL"},
}

func (l Lang) check() error {
	if l != ZH && l != EN && l != Both {
		return &FieldError{"language", "not zh, en or both"}
	}
	return nil
}
